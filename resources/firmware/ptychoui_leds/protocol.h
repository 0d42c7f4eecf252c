// The line protocol between ptychoui and an LED array. Knows no pins: see hardware.h.
//
// A line is   SEQ COMMAND words*CC   with a newline; CC is the CRC-8 (polynomial 0x07) of all before the star, in hex.
// Answers are OK SEQ words*CC  or  NO SEQ reason*CC;  DONE SEQ shown*CC  ends a run, DARK heartbeat*CC says that the
// LEDs went out because the program has not been heard of. A line with a wrong CRC is answered with NO 0 crc.
//
//   ID                               name, version, LEDs, colours, slots, length of a line, triggers out and in, alive ms
//   ALIVE ms                         dark so long after the last line that was understood (200 to 60000)
//   COLOR r g b                      which colours shine, 0 or 1 each
//   OFF                              dark; ends a run
//   ZERO slot                        all levels of a slot 0
//   PUT slot first hex               levels 00 to FF of LEDs from first on
//   SUM slot                         CRC-16 (CCITT, from FFFF) of its levels
//   SHOW slot                        light it; answers the CRC-16 of what is lit
//   LIT                              CRC-16 of what is lit
//   RUN us first count repeats every wait   play slots, a pulse each `every` patterns, waiting for the input if 1
//   STOP                             end a run, dark; answers how many patterns were shown
//   TRIG                             a pulse
//   BEAT                             nothing: the program is alive
#pragma once
#ifdef PTYCHOUI_HARDWARE
#include PTYCHOUI_HARDWARE
#else
#include "hardware.h"
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PTYCHOUI_LINE 96
#define PTYCHOUI_PULSE_US 500UL
#define PTYCHOUI_INPUT_MS 60000UL

static uint8_t slots[N_SLOTS][N_LEDS];
static uint8_t lit[N_LEDS];
static uint8_t colour[3] = {1, 1, 1};
static uint32_t alive_ms = 5000, heard_ms = 0;
static bool any_lit = false;
static char line[PTYCHOUI_LINE + 1];
static uint8_t line_length = 0;
static bool line_too_long = false;
static bool pulse_on = false;
static uint32_t pulse_from_us = 0;

enum RunPhase { RUN_IDLE, RUN_WAIT_HIGH, RUN_HOLD, RUN_WAIT_LOW };
static struct {
  RunPhase phase;
  uint32_t seq, delay_us, step_us, wait_ms, shown, total;
  uint16_t first, count, every;
  bool waits;
} run_state = {RUN_IDLE, 0, 0, 0, 0, 0, 0, 0, 0, 0, false};

static uint8_t crc8(const char *text, size_t length) {
  uint8_t crc = 0;
  for (size_t i = 0; i < length; i++) {
    crc ^= (uint8_t)text[i];
    for (uint8_t bit = 0; bit < 8; bit++) crc = (crc & 0x80) ? (uint8_t)((crc << 1) ^ 0x07) : (uint8_t)(crc << 1);
  }
  return crc;
}

static uint16_t crc16(const uint8_t *data, uint16_t length) {
  uint16_t crc = 0xFFFF;
  for (uint16_t i = 0; i < length; i++) {
    crc ^= (uint16_t)data[i] << 8;
    for (uint8_t bit = 0; bit < 8; bit++) crc = (crc & 0x8000) ? (uint16_t)((crc << 1) ^ 0x1021) : (uint16_t)(crc << 1);
  }
  return crc;
}

static void say(const char *text) {
  char end[6];
  snprintf(end, sizeof end, "*%02X\n", crc8(text, strlen(text)));
  hw_write(text);
  hw_write(end);
}

static void say_ok(uint32_t seq, const char *words) {
  char text[PTYCHOUI_LINE];
  snprintf(text, sizeof text, words[0] ? "OK %lu %s" : "OK %lu", (unsigned long)seq, words);
  say(text);
}

static void say_no(uint32_t seq, const char *reason) {
  char text[PTYCHOUI_LINE];
  snprintf(text, sizeof text, "NO %lu %s", (unsigned long)seq, reason);
  say(text);
}

static void say_sum(uint32_t seq, const uint8_t *levels) {
  char words[6];
  snprintf(words, sizeof words, "%04X", crc16(levels, N_LEDS));
  say_ok(seq, words);
}

static void light(const uint8_t *levels) {
  any_lit = false;
  for (uint16_t i = 0; i < N_LEDS; i++) {
    lit[i] = levels ? levels[i] : 0;
    any_lit = any_lit || lit[i];
    hw_led(i, lit[i] * colour[0], lit[i] * colour[1], lit[i] * colour[2]);
  }
  hw_latch();
}

static void pulse() {
  hw_trigger(true);
  pulse_on = true;
  pulse_from_us = hw_micros();
}

static void dark() {
  run_state.phase = RUN_IDLE;
  light(NULL);
}

static bool number(char **rest, uint32_t most, uint32_t *value) {
  char *end;
  while (**rest == ' ') (*rest)++;
  if (**rest < '0' || **rest > '9') return false;
  *value = strtoul(*rest, &end, 10);
  *rest = end;
  return *value <= most;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

static const char *put(char *rest) {
  uint32_t slot, first;
  if (!number(&rest, N_SLOTS - 1, &slot) || !number(&rest, N_LEDS - 1, &first) || *rest != ' ') return "range";
  size_t digits = strlen(++rest);
  if (digits == 0 || digits % 2 || first + digits / 2 > N_LEDS) return "range";
  for (size_t i = 0; i < digits; i++)
    if (hex_digit(rest[i]) < 0) return "hex";
  for (size_t i = 0; i < digits / 2; i++)
    slots[slot][first + i] = (uint8_t)(hex_digit(rest[2 * i]) * 16 + hex_digit(rest[2 * i + 1]));
  return NULL;
}

static void run_step() {
  light(slots[run_state.first + run_state.shown % run_state.count]);
  run_state.step_us = hw_micros();
  run_state.wait_ms = hw_millis();
  if (run_state.every && (run_state.shown % run_state.count) % run_state.every == 0) pulse();
  run_state.shown++;
  run_state.phase = run_state.waits ? RUN_WAIT_HIGH : RUN_HOLD;
}

static void run_tick() {
  char text[40];
  switch (run_state.phase) {
    case RUN_IDLE:
      return;
    case RUN_WAIT_HIGH:
    case RUN_WAIT_LOW:
      if (hw_input() == (run_state.phase == RUN_WAIT_HIGH)) {
        run_state.phase = run_state.phase == RUN_WAIT_HIGH ? RUN_HOLD : RUN_IDLE;
        break;
      }
      if (hw_millis() - run_state.wait_ms > PTYCHOUI_INPUT_MS) {
        dark();
        say_no(run_state.seq, "input");
      }
      return;
    case RUN_HOLD:
      if (hw_micros() - run_state.step_us < run_state.delay_us) return;
      run_state.phase = run_state.waits ? RUN_WAIT_LOW : RUN_IDLE;
      run_state.wait_ms = hw_millis();
      break;
  }
  if (run_state.phase != RUN_IDLE) return;
  if (run_state.shown < run_state.total) {
    run_step();
    return;
  }
  dark();
  snprintf(text, sizeof text, "DONE %lu %lu", (unsigned long)run_state.seq, (unsigned long)run_state.shown);
  say(text);
}

static const char *run(uint32_t seq, char *rest) {
  uint32_t delay_us, first, count, repeats, every, waits;
  if (!number(&rest, 4000000000UL, &delay_us) || !number(&rest, N_SLOTS - 1, &first) ||
      !number(&rest, N_SLOTS, &count) || !number(&rest, 65535, &repeats) || !number(&rest, 65535, &every) ||
      !number(&rest, TRIGGER_INPUTS ? 1 : 0, &waits) || !count || !repeats || first + count > N_SLOTS)
    return "range";
  run_state.seq = seq;
  run_state.delay_us = delay_us;
  run_state.first = (uint16_t)first;
  run_state.count = (uint16_t)count;
  run_state.every = (uint16_t)every;
  run_state.waits = waits != 0;
  run_state.shown = 0;
  run_state.total = count * repeats;
  return NULL;
}

static void command(char *text) {
  uint32_t seq, value, g, b;
  char words[PTYCHOUI_LINE];
  char *rest = text;
  if (!number(&rest, 9999, &seq) || *rest != ' ') {
    say_no(0, "number");
    return;
  }
  char *name = ++rest;
  while (*rest && *rest != ' ') rest++;
  if (*rest) *rest++ = 0;
  const char *wrong = NULL;
  if (!strcmp(name, "ID")) {
    snprintf(words, sizeof words, "ptychoui-leds 1 %u %u %u %u %u %u %lu", (unsigned)N_LEDS, (unsigned)N_COLOURS,
             (unsigned)N_SLOTS, (unsigned)PTYCHOUI_LINE, (unsigned)TRIGGER_OUTPUTS, (unsigned)TRIGGER_INPUTS,
             (unsigned long)alive_ms);
    say_ok(seq, words);
  } else if (!strcmp(name, "BEAT")) {
    say_ok(seq, "");
  } else if (!strcmp(name, "OFF")) {
    dark();
    say_ok(seq, "");
  } else if (!strcmp(name, "STOP")) {
    dark();
    snprintf(words, sizeof words, "%lu", (unsigned long)run_state.shown);
    say_ok(seq, words);
  } else if (!strcmp(name, "LIT")) {
    say_sum(seq, lit);
  } else if (!strcmp(name, "TRIG")) {
    pulse();
    say_ok(seq, "");
  } else if (!strcmp(name, "ALIVE")) {
    if (number(&rest, 60000, &value) && value >= 200) {
      alive_ms = value;
      say_ok(seq, "");
    } else wrong = "range";
  } else if (!strcmp(name, "COLOR")) {
    if (number(&rest, 1, &value) && number(&rest, 1, &g) && number(&rest, 1, &b)) {
      colour[0] = (uint8_t)value;
      colour[1] = (uint8_t)g;
      colour[2] = (uint8_t)b;
      say_ok(seq, "");
    } else wrong = "range";
  } else if (run_state.phase != RUN_IDLE) {
    wrong = "busy";  // a run's slots do not change under it
  } else if (!strcmp(name, "PUT")) {
    wrong = put(rest);
    if (!wrong) say_ok(seq, "");
  } else if (!strcmp(name, "ZERO") || !strcmp(name, "SUM") || !strcmp(name, "SHOW")) {
    if (!number(&rest, N_SLOTS - 1, &value)) wrong = "range";
    else {
      if (name[0] == 'Z') memset(slots[value], 0, N_LEDS);
      if (!strcmp(name, "SHOW")) light(slots[value]);
      say_sum(seq, !strcmp(name, "SHOW") ? lit : slots[value]);
    }
  } else if (!strcmp(name, "RUN")) {
    wrong = run(seq, rest);
    if (!wrong) {
      say_ok(seq, "");
      run_step();
    }
  } else {
    wrong = "command";
  }
  if (wrong) say_no(seq, wrong);
}

static void take_line() {
  line[line_length] = 0;
  char *star = strrchr(line, '*');
  bool whole = star && strlen(star) == 3 && hex_digit(star[1]) >= 0 && hex_digit(star[2]) >= 0;
  if (line_too_long || !whole || crc8(line, (size_t)(star - line)) != hex_digit(star[1]) * 16 + hex_digit(star[2])) {
    say_no(0, "crc");
    return;
  }
  *star = 0;
  heard_ms = hw_millis();
  command(line);
}

static void ptychoui_begin() {
  hw_begin();
  dark();
}

static void ptychoui_tick() {
  int byte;
  while ((byte = hw_read()) >= 0) {
    if (byte == '\n' || byte == '\r') {
      if (line_length || line_too_long) take_line();
      line_length = 0;
      line_too_long = false;
    } else if (line_length < PTYCHOUI_LINE) {
      line[line_length++] = (char)byte;
    } else {
      line_too_long = true;
    }
  }
  if (pulse_on && hw_micros() - pulse_from_us >= PTYCHOUI_PULSE_US) {
    pulse_on = false;
    hw_trigger(false);
  }
  run_tick();
  if ((any_lit || run_state.phase != RUN_IDLE) && hw_millis() - heard_ms > alive_ms) {
    dark();
    say("DARK heartbeat");
  }
}

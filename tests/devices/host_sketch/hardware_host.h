// The sketch's hardware layer on a computer: the line is standard input and output, every latch and pulse is a line of
// the file LIGHT_LOG.
#pragma once
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef N_LEDS
#define N_LEDS 70
#endif
#define N_SLOTS 9
#define N_COLOURS 3
#define TRIGGER_OUTPUTS 1
#define TRIGGER_INPUTS 1

static uint8_t host_leds[N_LEDS][3];
static FILE *host_log = NULL;
static bool host_input = false;

static inline void hw_begin() {
  host_log = fopen(getenv("LIGHT_LOG"), "a");
  setvbuf(host_log, NULL, _IOLBF, 0);
  fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
}
static inline int hw_read() {
  uint8_t byte;
  ssize_t got = read(0, &byte, 1);
  if (got == 0) exit(0);
  return got == 1 ? byte : -1;
}
static inline void hw_write(const char *text) {
  size_t length = strlen(text);
  while (length) {
    ssize_t done = write(1, text, length);
    if (done > 0) {
      text += done;
      length -= (size_t)done;
    }
  }
}
static inline void hw_led(uint16_t led, uint8_t r, uint8_t g, uint8_t b) {
  host_leds[led][0] = r;
  host_leds[led][1] = g;
  host_leds[led][2] = b;
}
static inline void host_write(char kind) {
  fputc(kind, host_log);
  for (int i = 0; i < N_LEDS; i++) fprintf(host_log, "%02x%02x%02x", host_leds[i][0], host_leds[i][1], host_leds[i][2]);
  fputc('\n', host_log);
}
static inline void hw_latch() { host_write('L'); }
static inline void hw_trigger(bool high) {
  if (high) host_write('T');
}
static inline bool hw_input() {
  host_input = !host_input;  // a camera that is ready at once, and done at once
  return host_input;
}
static inline uint64_t host_us() {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}
static inline uint32_t hw_millis() { return (uint32_t)(host_us() / 1000u); }
static inline uint32_t hw_micros() { return (uint32_t)host_us(); }

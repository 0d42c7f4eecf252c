// What the sketch needs of a board: WS2812 or APA102 LEDs through the FastLED library, a trigger output and an input.
// For other LEDs or boards replace this file; nothing else knows of pins.
#pragma once
#include <Arduino.h>
#include <FastLED.h>

#define N_LEDS 64         // LEDs of the array
#define N_SLOTS 33        // patterns that are kept, one byte per LED each; slot 0 is that of single patterns
#define N_COLOURS 3
#define DATA_PIN 6
#define TRIGGER_OUT_PIN 2
#define TRIGGER_IN_PIN 3
#define TRIGGER_OUTPUTS 1
#define TRIGGER_INPUTS 1

static CRGB hw_leds[N_LEDS];

static inline void hw_begin() {
  Serial.begin(115200);
  pinMode(TRIGGER_OUT_PIN, OUTPUT);
  digitalWrite(TRIGGER_OUT_PIN, LOW);
  pinMode(TRIGGER_IN_PIN, INPUT);
  FastLED.addLeds<WS2812B, DATA_PIN, GRB>(hw_leds, N_LEDS);  // levels are linear: no correction of colours
  FastLED.setDither(0);                                      // a pattern does not flicker
  FastLED.clear(true);
}
static inline int hw_read() { return Serial.available() ? Serial.read() : -1; }
static inline void hw_write(const char *text) { Serial.print(text); }
static inline void hw_led(uint16_t led, uint8_t r, uint8_t g, uint8_t b) { hw_leds[led] = CRGB(r, g, b); }
static inline void hw_latch() { FastLED.show(); }
static inline void hw_trigger(bool high) { digitalWrite(TRIGGER_OUT_PIN, high ? HIGH : LOW); }
static inline bool hw_input() { return digitalRead(TRIGGER_IN_PIN) == HIGH; }
static inline uint32_t hw_millis() { return millis(); }
static inline uint32_t hw_micros() { return micros(); }

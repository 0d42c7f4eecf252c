// LED patterns for ptychoui: set the number of LEDs and the pins in hardware.h, then upload.
#include "protocol.h"

void setup() { ptychoui_begin(); }

void loop() { ptychoui_tick(); }

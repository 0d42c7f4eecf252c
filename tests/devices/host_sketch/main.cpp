#define PTYCHOUI_HARDWARE "hardware_host.h"
#include "protocol.h"

int main() {
  ptychoui_begin();
  for (;;) {
    ptychoui_tick();
    usleep(200);
  }
}

"""An emulated LED array with the illuminate firmware, 1.x or 2.x."""

from __future__ import annotations

import json
import math

import numpy as np
from numpy.typing import NDArray

from ptychoui.devices.emulators.wire import Board

PACKET_BYTES = 64
END = "-==-\n"
DESTRUCTIVE = ("store", "recall", "autoload", "setsn", "setpn", "hwinit", "reset", "reboot", "demo", "disco", "water")
NOISE = b"[WRN01] power supply voltage is 4.71 V\n"


class Refused(Exception):
    """An error of the firmware: its number and words."""


class IlluminateBoard(Board):
    """The firmware's one loop.

    Parameters
    ----------
    version
        Such as 2.32 or 1.32.
    colours
        3, or 1 for arrays of one colour.
    starts_closed
        The shutter is closed when the board starts.
    """

    def __init__(
        self, version: float = 2.32, n_leds: int = 257, colours: int = 3, starts_closed: bool = False, seed: int = 0
    ) -> None:
        super().__init__(n_leds, colours)
        self.version, self.second = version, version >= 2
        self.buffer = self.light.copy()
        self.colour = np.full(colours, 255)
        self.brightness = int(np.random.default_rng(seed).integers(0, 256))
        self.clears, self.open = True, not (starts_closed and self.second)
        self.bits, self.length = 8, 0
        self.sequence: list[list[tuple[int, int]]] = []
        self.modes = {"troutputmode": 0, "trinputmode": 0}
        self._held = b""

    # Bytes ----------------------------------------------------------------------------------------------------

    def packet(self, data: bytes) -> None:
        """Collect a line, carry it out; what arrived behind it is lost in 1.x."""
        self._held += data
        while b"\n" in self._held:
            line, self._held = self._held.split(b"\n", 1)
            if not self.second:
                self._held = b""
            self._line(line)

    def _line(self, line: bytes) -> None:
        if len(line) + 1 > PACKET_BYTES and self.wire.chance(self.wire.faults.lost_tails):
            # 2.x fills up with 0xff; 1.x takes the rest for another command.
            kept = line[:PACKET_BYTES] + b"\xff" * 8
            line = kept if self.second else line[PACKET_BYTES:]
        if line and self.wire.chance(self.wire.faults.lost_bytes):
            place = int(self.wire.random.integers(len(line)))
            line = line[:place] + line[place + 1 :]
        if not line.strip():
            return
        if not self.wire.command(line):
            return
        name, *words = line.decode("latin-1").strip().split(".")
        answer = self._answer(name, words)
        if not self.second:
            self.wire.flush()
        self.wire.send(answer.encode("latin-1"), NOISE)

    def _answer(self, name: str, words: list[str]) -> str:
        """Carry a command out; errors of 2.x have no end."""
        if name in DESTRUCTIVE:
            self.damage.append(name)
        try:
            method = getattr(self, f"_do_{name}", None)
            if method is None:
                raise Refused(16 if self.second else "NI", f"Command [{name}] is not implemented yet.")
            return (method(*words) or "") + END
        except Refused as error:
            number, text = error.args
            return f"ERROR[{number}]: {text}\n" if self.second else f"ERROR: {text}\n{END}"
        except TypeError:
            return "ERROR[2]: argument count\n" if self.second else f"ERR:ARGS\n{END}"

    # Light ----------------------------------------------------------------------------------------------------

    def _value(self) -> NDArray[np.uint8]:
        """(channel,) drive value of an LED that is listed."""
        return np.array([math.ceil(int(c) * self.brightness / 255 - 1e-9) for c in self.colour], dtype=np.uint8)

    def _set(self, led: int, value: NDArray[np.uint8]) -> None:
        if not 0 <= led < self.n_leds:
            self.damage.append(f"LED {led} is outside the table")
            return
        self.buffer[led] = value

    def _update(self) -> None:
        self.shine(self.buffer if self.open else np.zeros_like(self.buffer))

    def unplugged(self) -> None:
        """Nothing shines, and nothing is remembered."""
        self.buffer = np.zeros_like(self.buffer)
        super().unplugged()

    # Commands -------------------------------------------------------------------------------------------------

    def _do_machine(self) -> str:
        return "Command output set to machine-readable\n"

    def _do_version(self) -> str:
        return f"{self.version}\n"

    def _do_pprops(self) -> str:
        if not self.second:
            raise Refused("NI", "Command [pprops] is not implemented yet.")
        return self._facts("_nm")

    def _do_pp(self) -> str:
        if self.second:
            raise Refused(16, "Invalid command.")
        return self._facts("")

    def _facts(self, unit: str) -> str:
        names = ["r", "g", "b"] if self.channels == 3 else ["w"]
        facts = {
            "device_name": "emulated.array",
            "led_count": self.n_leds,
            "color_channels": names,
            f"color_channel_center_wavelengths{unit}": dict.fromkeys(names, 525.0),
            "trigger_input_count": 1,
            "trigger_output_count": 1,
            "bit_depth": 16,
            "serial_number": 1,
            "color_channel_count": self.channels,
            "part_number": 1,
            "mac_address": "00:00:00:00:00:00",
            "interface_version": self.version,
        }
        return json.dumps(facts, indent=4)

    def _do_pvals(self) -> str:
        rows = (f'        "{led}" : [{",".join(map(str, row))}]' for led, row in enumerate(self.buffer.tolist()))
        return '{\n    "led_values" : {\n' + ", \n".join(rows) + " \n    }\n}\n"

    def _do_l(self, *leds: str) -> None:
        if not leds:
            if self.second:
                self._set(0, self._value())
                return
            raise Refused("ARGS", "no LEDs")
        if self.clears:
            self.buffer = np.zeros_like(self.buffer)
        for led in leds:
            self._set(_number(led), self._value())
        self._update()

    def _do_x(self) -> None:
        self.buffer = np.zeros_like(self.buffer)
        self._update()

    def _do_ff(self) -> None:
        for led in range(self.n_leds):
            self._set(led, self._value())
        self._update()

    def _do_sb(self, word: str = "") -> str:
        if word:
            self.brightness = _number(word) % 256
        return f"SB.{self.brightness}\n"

    def _do_sc(self, *words: str) -> str:
        if self.channels == 1:
            raise Refused(9, "not supported by this device")
        if words:
            colour = np.array([_number(word) for word in words])
            if len(colour) != 3 or not colour.any():
                if not colour.any():
                    self.damage.append("colour 0.0.0 divides by zero")
                raise Refused(8, "Invalid color value")
            self.colour = np.rint(colour / colour.max() * 255).astype(int)
        return "CO." + ".".join(map(str, self.colour)) + "\n"

    def _do_ac(self, word: str = "") -> str:
        self.clears = bool(_number(word)) if word else (self.clears if self.second else not self.clears)
        return f"AC.{int(self.clears)}\n"

    def _do_gs(self, word: str = "") -> str:
        if not self.second:
            raise Refused("NI", "Command [gs] is not implemented yet.")
        if word:
            self.open = bool(_number(word))
            self._update()
        return f"GS.{int(self.open)}\n"

    def _do_tr(self, word: str = "0") -> None:
        self.pulse()

    # Sequences ------------------------------------------------------------------------------------------------

    def _do_ssl(self, word: str) -> str:
        self.length, self.sequence = _number(word), []
        return f"SEQ_LEN.{self.length}\n" if self.second else f"New sequence length is: {self.length}\n"

    def _do_ssbd(self, word: str) -> str:
        if self.second:
            raise Refused(16, "Invalid command.")
        self.bits, self.sequence = _number(word), []
        return f"BD.{self.bits}\n"

    def _do_ssz(self, word: str) -> None:
        if self.second:
            raise Refused(16, "Invalid command.")
        for _ in range(_number(word)):
            self._append([])

    def _append(self, pattern: list[tuple[int, int]]) -> None:
        if len(self.sequence) >= self.length:
            raise Refused(19 if self.second else "ARGS", "sequence is full")
        for led, _ in pattern:
            if not 0 <= led < self.n_leds:
                self.damage.append(f"LED {led} is outside the table")
        self.sequence.append(pattern)

    def _do_ssv(self, *words: str) -> str:
        if not self.second:
            return self._ssv_1([_number(word) for word in words])
        if words == ("none",):
            leds: list[int] = []
        elif words == ("all",):
            leds = list(range(self.n_leds))
        elif words[:1] == ("range",):
            leds = list(range(_number(words[1]), _number(words[2])))
        else:
            leds = [_number(word) for word in words]
        self._append([(led, 255) for led in leds])
        return f"[{','.join(map(str, leds))}]\n"

    def _ssv_1(self, words: list[int]) -> str:
        count, *pairs = words or [0]
        if len(pairs) != 2 * count:
            raise Refused("ARGS", "invalid number of arguments")
        self._append(list(zip(pairs[::2], pairs[1::2], strict=True)))
        return self._pattern(len(self.sequence) - 1)

    def _pattern(self, row: int) -> str:
        lines = [f"Pattern {row} ({len(self.sequence[row])} leds): \n"]
        lines += [f" LED #: {led}, value={value} (bit depth={self.bits})\n" for led, value in self.sequence[row]]
        return "".join(lines)

    def _do_pseq(self) -> str:
        if self.second:
            return json.dumps({"sequence": [[led for led, _ in row] for row in self.sequence]}) + "\n"
        head = f"Sequence has {self.length}x {self.bits} bit patterns:\n"
        return head + "".join(self._pattern(row) for row in range(len(self.sequence))) + "\n"

    def _do_troutputmode(self, index: str, mode: str) -> str:
        self.modes["troutputmode"] = _number(mode)
        return f"TROUTPUTMODE.{mode}\n"

    def _do_trinputmode(self, index: str, mode: str) -> str:
        self.modes["trinputmode"] = _number(mode)
        return f"TRINPUTMODE.{mode}\n"

    def _do_rseq(self, delay: str = "500", count: str = "1", *modes: str) -> str:
        milliseconds = _number(delay)
        if milliseconds and not 5 <= milliseconds <= (2000 if self.second else 65535):
            raise Refused(13, "sequence delay is out of range")
        every = self.modes["troutputmode"] if self.second else _number((*modes, "0")[0])
        played = 0
        last = len(self.sequence) * _number(count)
        ends = int(self.wire.random.integers(last)) if last and self.wire.chance(self.wire.faults.early_ends) else last
        for _ in range(_number(count)):
            for row, pattern in enumerate(self.sequence):
                if played == ends:
                    return self._ended_early()
                played += 1
                self.buffer = np.zeros_like(self.buffer)
                for led, value in pattern:
                    self._set(led, np.rint(self._value() * (value / 255)).astype(np.uint8))
                self._update()
                if every > 0 and row % every == 0:
                    self.pulse()
                if self.wire.wait(milliseconds / 1000):
                    return self._ended_early()
        if self.second:
            return "\n"
        self.buffer = np.zeros_like(self.buffer)
        self._update()
        return "Finished sending sequence.\n"

    def _ended_early(self) -> str:
        """The pattern that is lit stays lit."""
        if self.second:
            raise Refused(15, "Sequence was interrupted.")
        return ""


def _number(word: str) -> int:
    """Digits at the start, as the C library reads them; 0 where there are none."""
    digits = ""
    for place, letter in enumerate(word):
        if not (letter.isdigit() and letter.isascii()) and not (place == 0 and letter == "-"):
            break
        digits += letter
    return int(digits) if digits.strip("-") else 0

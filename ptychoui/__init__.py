"""ptychoui: learn coded LED-array illumination for Fourier ptychographic microscopy."""

__version__ = "0.1.0"

"""What things are: pure, synchronous, without I/O and without reading a clock."""

"""The test kit that ships with rosey: virtual time, and what else a plugin's tests need."""

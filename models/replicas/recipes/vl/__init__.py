"""The recipe of DeepSeek-VL."""

"""A step on text: parts, the engines that work on them, and the folder that it leaves."""

"""Delay of images and poses."""

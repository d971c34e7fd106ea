"""Preprocessing, step by step: each takes a picture and gives a picture, on a device and in the cloud alike."""

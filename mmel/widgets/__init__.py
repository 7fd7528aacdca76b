"""Playable figures for a page: plain HTML with a little JavaScript of our own, made of arrays a notebook computed."""

"""Claim check: fetch what an image_uri names, under guards."""

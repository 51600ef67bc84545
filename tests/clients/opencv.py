"""A stream as OpenCV reads a camera of the network: opencv.py URL WIDTH HEIGHT. Pictures come, of that size, and move."""

import sys

import cv2

url, width, height = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
camera = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
assert camera.isOpened(), f"{url} is not opened"
before, moved = None, 0
for count in range(30):
    there, picture = camera.read()
    assert there, f"no picture after {count}"
    assert picture.shape == (height, width, 3), picture.shape
    moved += before is not None and cv2.absdiff(picture, before).mean() > 0.1
    before = picture
assert moved > 10, f"{moved} of 30 pictures moved"
print("ok")

"""Placement of names in a scatter plot."""

from evaluation.report.labels import place


def test_names_of_points_cover_neither_each_other_nor_a_point() -> None:
    points = [(0.5, 0.5), (0.5, 0.52), (0.5, 0.54), (0.52, 0.5), (0.99, 0.5)]
    names = ["first", "second-one", "third", "fourth", "at-the-edge"]
    size = (600.0, 300.0)
    boxes = []
    for (x, y), name, label in zip(points, names, place(points, names, size), strict=True):
        half = 7.2 * len(name) / 2
        centre = (x * size[0] + label.right, y * size[1] + label.up)
        boxes.append((centre[0] - half, centre[1] - 7.5, centre[0] + half, centre[1] + 7.5))
    for i, left in enumerate(boxes):
        assert left[0] >= 0
        assert left[2] <= size[0]
        for right in boxes[i + 1 :]:
            assert left[2] <= right[0] or right[2] <= left[0] or left[3] <= right[1] or right[3] <= left[1]

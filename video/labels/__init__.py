"""What there is to see: names from an image classifier, colours, light and movement.

    from mmreason.video.labels import label_video, load_classifier
    labels = label_video(video, load_classifier("efficientnet-lite0"))

What it can name, what not, and how often it is right: `docs/labels.md`.
"""

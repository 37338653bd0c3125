"""Following objects through frames: who is who, where each is, and when it is not to be seen.

tubes = KalmanTracker().track(frames, detections)      # always there: boxes alone
tubes = load_mask_tracker(folder).track(frames, seeds) # SAM 2, EdgeTAM, SAM 3: masks
"""

"""`make demo`: the main job on real input, shown live and verified by what really happened."""

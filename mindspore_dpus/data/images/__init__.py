"""From image files to arrays: reading, what values mean, resizing, tiles, augmentation."""

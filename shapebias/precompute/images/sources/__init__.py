"""Sources of images: folders, tar files and lists, on this machine or on a server."""

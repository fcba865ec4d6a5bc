"""Where images come from: folders, tar files, lists, here or on a server."""

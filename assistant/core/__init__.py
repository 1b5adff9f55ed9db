"""What everything stands on: configs, data folders, files of one JSON object a line."""

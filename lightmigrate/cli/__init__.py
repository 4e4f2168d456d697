"""The command line: `app` lists the commands, one file each; `show` turns results into what a terminal prints."""

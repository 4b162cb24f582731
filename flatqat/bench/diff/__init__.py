"""The difference between two folders of results, or between two methods of one."""

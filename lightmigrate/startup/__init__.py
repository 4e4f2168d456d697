"""The line a server calls before it opens its database: is the model still the one the vectors came from?"""

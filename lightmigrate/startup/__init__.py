"""What a server calls before it opens its database: are the vectors still those of the application's model?"""

"""Training of an action recogniser with a vision-language teacher."""

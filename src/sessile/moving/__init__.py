"""Moving in: reading sessions of other libraries, their signed cookies, and rewriting code that used them."""

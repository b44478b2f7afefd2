"""Small things every room but `policy` may use: secrets, safe text, ids, money, time."""

"""HTTP to addresses that others name, as all clients here do it.

They differ in whom they call and how often; what an address may be, how much of an answer is read,
and what is said of one that does not come stands here.
"""

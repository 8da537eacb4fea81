from . import backup_identity_mixin
from . import backup_restore_wizard
from . import backup_verification
from . import backup_archive_deletion
from . import backup_retention_preview

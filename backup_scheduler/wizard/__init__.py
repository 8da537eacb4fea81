from . import backup_identity_mixin
from . import backup_restore_wizard
from . import backup_verification
from . import backup_archive_deletion
from . import backup_retention_preview
from . import backup_setup
from . import backup_setup_answered
from . import backup_setup_database

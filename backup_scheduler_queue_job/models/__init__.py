from . import backup_run
from . import backup_task
from . import backup_dispatcher
from . import backup_doctor
from . import res_config_settings

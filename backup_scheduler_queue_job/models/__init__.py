from . import backup_run
from . import backup_alert
from . import backup_dispatcher
from . import backup_doctor
from . import res_config_settings

from . import test_alerts
from . import test_concurrency
from . import test_execution
from . import test_hand_over
from . import test_settings

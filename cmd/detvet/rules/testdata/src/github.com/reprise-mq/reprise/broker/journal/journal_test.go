package journal

import (
	_ "pgregory.net/rapid"

	_ "github.com/reprise-mq/reprise/sim/disk"
)

package reprise

import (
	_ "github.com/reprise-mq/reprise/sim" // want `which only sim, cmd/reprise-sim may use`
	_ "github.com/spf13/cobra"
)

// Package checker never imports a node.
package checker

import (
	_ "github.com/anishathalye/porcupine"
	_ "github.com/spf13/cobra" // want `which only cmd may use`

	_ "github.com/reprise-mq/reprise/broker" // want `on floor 2 imports broker on floor 5`
)

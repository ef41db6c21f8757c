// Package journal stands on floor 3.
package journal

import (
	_ "example.com/new"        // want `imports example.com/new, a library that is not in the plan`
	_ "google.golang.org/grpc" // want `imports google.golang.org/grpc, which only broker/rpc, broker/client, cmd may use`
	_ "pgregory.net/rapid"     // want `which only broker/env/envtest may use`
	_ "strings"

	_ "github.com/klauspost/compress/zstd" // want `which only broker/batch/zstd may use`

	_ "github.com/reprise-mq/reprise/broker/api"
	_ "github.com/reprise-mq/reprise/broker/replica" // want `package broker/journal on floor 3 imports broker/replica on floor 4: move what both need`
	_ "github.com/reprise-mq/reprise/broker/segment" // want `on floor 3 imports broker/segment on floor 3`
	_ "github.com/reprise-mq/reprise/sim/disk"       // want `which only sim, cmd/reprise-sim may use` `on floor 3 imports sim/disk on floor 3`
	_ "github.com/reprise-mq/reprise/sim/prng"
)

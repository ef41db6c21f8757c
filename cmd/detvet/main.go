// Command detvet is the project's own lint: what must hold for a seed to mean the
// same run for ever (determinism), for the house to stay readable (floors, sizes,
// documents), and what is not already said by vet and staticcheck.
//
//	go run ./cmd/detvet ./...
//
// The rules live in package rules; "go test ./cmd/detvet" runs them over the whole
// module.
package main

import (
	"golang.org/x/tools/go/analysis/multichecker"

	"github.com/reprise-mq/reprise/cmd/detvet/rules"
)

func main() { multichecker.Main(rules.All()...) }

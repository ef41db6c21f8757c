// Command reprise-sim may link the simulator.
package main

import _ "github.com/reprise-mq/reprise/sim"

func main() {}

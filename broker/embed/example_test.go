package embed_test

import (
	"context"
	"fmt"
	"log"

	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/embed"
)

// The leader of a partition is killed between two records. In a test, embed.Run takes
// the place of Start and Close.
func Example() {
	ctx := context.Background()
	cluster, err := embed.Start(embed.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	app, err := client.New(client.Config{Bootstrap: cluster.Bootstrap()})
	if err != nil {
		log.Fatal(err)
	}
	defer app.Close(ctx)
	if err := app.CreateTopic(ctx, "orders", client.TopicOptions{Partitions: 1}); err != nil {
		log.Fatal(err)
	}
	for _, order := range []string{"first", "second"} {
		leader, err := cluster.Leader(ctx, "orders", 0)
		if err != nil {
			log.Fatal(err)
		}
		offset, err := app.Produce(ctx, "orders", 0, client.Record{Value: []byte(order)})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("the %s order stands at offset %d\n", order, offset)
		leader.Kill() // as kill -9 would
		if err := leader.Start(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// the first order stands at offset 0
	// the second order stands at offset 1
}

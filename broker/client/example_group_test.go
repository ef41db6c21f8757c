package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/reprise-mq/reprise/broker/client"
)

// A worker reads topic orders together with all others of its group. It needs a cluster,
// so it is only compiled here.
func ExampleClient_Subscribe() {
	ctx := context.Background()
	c, err := client.New(client.Config{Bootstrap: []string{"localhost:9001"}})
	if err != nil {
		log.Fatal(err)
	}
	s, err := c.Subscribe(ctx, client.SubscribeOptions{
		Group: "billing", Topics: []string{"orders"}, AutoCommit: 5 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close(ctx)
	for {
		records, err := s.Poll(ctx)
		if err != nil {
			log.Fatal(err)
		}
		for _, r := range records {
			fmt.Printf("%s/%d@%d: %s\n", r.Topic, r.Partition, r.Offset, r.Value)
		}
	}
}

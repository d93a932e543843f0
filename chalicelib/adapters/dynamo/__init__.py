"""State in DynamoDB: one table, one partition per record, one sparse index of what is due."""

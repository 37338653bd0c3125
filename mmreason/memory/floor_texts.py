"""What the floor of an embedder is measured with: lines such as videos hold, and questions that
none of them answers."""

OFF_TOPIC_QUERIES = tuple(
    """
How do I bake sourdough bread?
Who won the football world cup in 1998?
What is the capital of Mongolia?
How does a nuclear reactor work?
Which stocks should I buy this year?
When did the Roman empire fall?
How do I change a flat tyre?
What is the boiling point of ethanol?
Who painted the ceiling of the Sistine Chapel?
How many moons does Jupiter have?
What are the symptoms of appendicitis?
Which wine goes with salmon?
How do whales sleep?
When is the best time to plant tulips?
Who wrote War and Peace?
What causes earthquakes?
How deep is the Mariana Trench?
How do I tie a bowline knot?
How fast does light travel?
What is the best treatment for a sunburn?
Which planet is closest to the sun?
What is the population of Brazil?
bronze medal in alpine skiing
mating calls of tree frogs
rules of water polo
recipe for lamb curry
history of the Ottoman navy
how to solder copper pipes
prime factors of large integers
sumo wrestling tournament results
""".strip().splitlines()
)
REFERENCE_TEXTS = tuple(
    """
Good morning and welcome to our meeting.
The budget for next year is two million.
Let us go on with the next point.
Anna is in charge of the summer festival.
The old bridge will be closed until October.
Questions at the end, please.
We had forty visitors on the first day.
The new library opens on Monday at nine.
Please send the form to the office.
Here is a picture from our last trip.
The train leaves from platform four.
Dinner is at seven in the large hall.
Sales went up by ten percent in spring.
Our second topic is the plan for the garden.
Thank you all for coming.
The school orchestra plays on Friday.
The water mill was built in 1912.
Agenda: welcome, report, vote
Total cost: 1,200 dollars
Contact: the front desk on the ground floor
The roof was repaired by a local company.
Half of the members voted for it.
You can see the results on this slide.
The museum is free on Sundays.
The hikers reached the cabin before the storm.
Next week we visit the factory in the north.
The prize went to a student from the evening class.
The doors open one hour before the concert.
In the afternoon the children painted the fence.
The keys are with the caretaker.
Parking is behind the town hall.
The course has twelve lessons and an exam.
A man walks along a street and stops at a shop.
Two people sit at a table and talk.
A car turns left at the crossing.
A woman points to a chart on the wall.
tabby cat, cat, mammal, animal
sports car, car, vehicle
espresso, coffee, drink
dark; mostly blue and black
""".strip().splitlines()
)

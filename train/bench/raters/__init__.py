"""`esarm bench raters`: does the loop of judging, training and improving work? Raters simulated.

- `simulated`: raters who judge by a hidden taste, some of whose answers are chance.
- `at_page`: the same raters in front of the page Judge.
- `study`: the study: pool, answers, rewards, policies, and what they came to.
- `page`, `picture`: its page, table and picture; each says that the raters are simulated.
"""

"""`esarm bench raters`: does the loop of judging, training and improving work? Raters simulated.

- `simulated`: raters who judge by a hidden taste, some of whose answers are chance.
- `study`: the study: pool, answers, rewards, policies, and what they came to.
- `page`: its page and table, and `picture`: its picture; each says that raters are simulated.
"""

# Golden values of nested samples: `Rscript make_writing_noise.R` here. R 4.2 with lme4.
# Dyestuff (Davies 1947, in lme4): 6 batches with 5 samples each, a balanced one-way layout.
suppressPackageStartupMessages(library(lme4))
options(digits = 17)
write.csv(data.frame(unit_id = Dyestuff$Batch, value = Dyestuff$Yield), "data_dyestuff.csv",
  row.names = FALSE)
found <- as.data.frame(VarCorr(lmer(Yield ~ 1 + (1 | Batch), Dyestuff)))$vcov
se <- coef(summary(lmer(Yield ~ 1 + (1 | Batch), Dyestuff)))[["(Intercept)", "Std. Error"]]
write.csv(data.frame(prompts = found[1], writing = found[2], std_error = se), "writing_noise.csv",
  row.names = FALSE)
